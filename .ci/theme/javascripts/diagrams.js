// Load mermaid for the first diagram of a page, where its host can be reached. The theme loads it before all else, and a
// reader whose company blocks the host would lose the tabs and copy buttons, too: without mermaid, the diagram is its text.
window.mermaid = {
  options: {},
  initialize(options) {
    this.options = options;
  },
  async render(id, text) {
    try {
      const { default: mermaid } = await import("https://unpkg.com/mermaid@12/dist/mermaid.esm.min.mjs");
      mermaid.initialize(this.options);
      return await mermaid.render(id, text);
    } catch {
      const shown = document.createElement("pre");
      shown.textContent = text;
      return { svg: shown.outerHTML, bindFunctions: undefined };
    }
  },
};
