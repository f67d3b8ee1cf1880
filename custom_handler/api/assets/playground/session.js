// The one-time code of the address that `run` prints: the page exchanges it for the key of the proxy.

const CODE = /^#code=([\w-]+)$/;

export const hasCode = () => CODE.test(location.hash);

// Return the key for the code of the address, or the name of the sentence that says why there is none.
export async function exchangeCode() {
  const code = CODE.exec(location.hash)[1];
  history.replaceState(history.state, "", location.pathname + location.search);
  try {
    const response = await fetch("playground/session", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ code }),
    });
    if (response.ok) return await response.json();
    return { problem: response.status === 403 ? "codeElsewhere" : "codeOver" };
  } catch {
    return { problem: "errorUnreachable" };
  }
}
