"""Tasks of one reply: calls with the right names and arguments."""

from __future__ import annotations

from ..task import Task
from . import tools as t
from .build import call, has, task


def single() -> list[Task]:
    kind = "single call"
    return [
        task(
            kind,
            "weather",
            "What is the weather in Recife right now?",
            tools=t.ASSISTANT,
            steps=[[call("get_weather", city="Recife")]],
        ),
        task(
            kind,
            "enum",
            "How warm is it in Boston, in Fahrenheit?",
            tools=t.ASSISTANT,
            steps=[[call("get_weather", city="Boston", unit="fahrenheit")]],
        ),
        task(kind, "choose", "What time is it in Tokyo?", tools=t.ASSISTANT, steps=[[call("get_time", city="Tokyo")]]),
        task(kind, "no-arguments", "Check that the service is up.", tools=[t.PING, t.WEATHER], steps=[[call("ping")]]),
        task(
            kind,
            "boolean",
            "Switch the lights in the kitchen off.",
            tools=[t.LIGHTS, t.PING],
            steps=[[call("set_lights", room=has("kitchen"), on=False)]],
        ),
        task(
            kind,
            "integer",
            "Search the web for 'litellm release notes'; I want 3 results.",
            tools=t.ASSISTANT,
            steps=[[call("web_search", query=has("litellm"), limit=3)]],
        ),
        task(
            kind,
            "shell",
            "Show the files in this directory with their sizes, including hidden ones.",
            tools=t.CODING,
            steps=[[call("bash", command=has(r"\bls\b.*-\w*a", "ls -la"))]],
        ),
        task(
            kind,
            "sql",
            "How many rows does the table invoices have? Run the query.",
            tools=[t.QUERY],
            steps=[[call("run_sql", sql=has(r"select\s+count\(.*\bfrom\s+invoices", "SELECT COUNT(*) FROM invoices"))]],
        ),
    ]


def parallel() -> list[Task]:
    kind = "parallel calls"
    cities = ("Recife", "Natal", "Belém")
    return [
        task(
            kind,
            "two-cities",
            "What is the weather in Recife and in Natal? Look both up at once.",
            tools=t.ASSISTANT,
            together=True,
            steps=[[call("get_weather", city=city) for city in cities[:2]]],
        ),
        task(
            kind,
            "three-cities",
            "Compare the weather of Recife, Natal and Belém; make the calls in parallel.",
            tools=t.ASSISTANT,
            together=True,
            steps=[[call("get_weather", f"{20 + n} °C", city=city) for n, city in enumerate(cities)]],
            says=["22"],
        ),
        task(
            kind,
            "two-tools",
            "Give me the time and the weather in Lisbon. Ask both tools in one reply.",
            tools=t.ASSISTANT,
            together=True,
            steps=[[call("get_weather", city=has("Lisbo")), call("get_time", city=has("Lisbo"))]],
        ),
        task(
            kind,
            "two-files",
            "Read a.txt and b.txt together, then say which of them mentions 'budget'.",
            tools=t.CODING,
            together=True,
            steps=[
                [
                    call("read_file", "The budget is fixed.", path=has(r"a\.txt$")),
                    call("read_file", "Nothing here.", path=has(r"b\.txt$")),
                ]
            ],
            says=[r"\ba\.txt|\bfirst"],
        ),
        task(
            kind,
            "same-tool-five",
            "Switch on the lights in these rooms, all in one reply: hall, attic, cellar, study, garage.",
            tools=[t.LIGHTS],
            together=True,
            steps=[
                [call("set_lights", room=has(room), on=True) for room in ("hall", "attic", "cellar", "study", "garage")]
            ],
        ),
    ]


def nested() -> list[Task]:
    kind = "nested arguments"
    return [
        task(
            kind,
            "event",
            "Create the event 'Sprint review' on 1 March 2027 at 14:00 for 45 minutes, with ana@example.com "
            "and, optional, bia@example.com, in the room Ipê on floor 3.",
            tools=[t.EVENT],
            steps=[
                [
                    call(
                        "create_event",
                        title=has("Sprint review"),
                        start=has("^2027-03-01T14:00"),
                        minutes=45,
                        attendees=[{"email": "ana@example.com"}, {"email": "bia@example.com", "optional": True}],
                        room={"name": has("Ip[eê]"), "floor": 3},
                    )
                ]
            ],
        ),
        task(
            kind,
            "order",
            "Place an order for Ana Lima, Rua do Sol 12, Recife, ZIP 50030-230: two of SKU A-7 with the options "
            "red and large, and one of SKU B-9.",
            tools=[t.ORDER],
            steps=[
                [
                    call(
                        "place_order",
                        customer={"name": "Ana Lima", "address": {"street": has("Rua do Sol,? 12"), "city": "Recife"}},
                        items=[
                            {"sku": "A-7", "quantity": 2, "options": ["red", "large"]},
                            {"sku": "B-9", "quantity": 1},
                        ],
                    )
                ]
            ],
        ),
        task(
            kind,
            "list",
            "E-mail ana@example.com and bia@example.com: subject 'Deploy', body 'Today at 18:00.', and mark it as urgent.",
            tools=[t.EMAIL],
            steps=[
                [
                    call(
                        "send_email",
                        to=["ana@example.com", "bia@example.com"],
                        subject="Deploy",
                        body=has("Today at 18:00"),
                        urgent=True,
                    )
                ]
            ],
        ),
        task(
            kind,
            "objects",
            "Write my task list: 'write tests' is done, 'fix bug' is in progress, 'release' is still open.",
            tools=[t.TODO],
            steps=[
                [
                    call(
                        "todo_write",
                        todos=[
                            {"content": has("write tests"), "status": "completed"},
                            {"content": has("fix bug"), "status": "in_progress"},
                            {"content": has("release"), "status": "pending"},
                        ],
                    )
                ]
            ],
        ),
        task(
            kind,
            "empty-list",
            "Clear my task list: write an empty one.",
            tools=[t.TODO],
            steps=[[call("todo_write", todos=[])]],
        ),
    ]


def required() -> list[Task]:
    kind = "tool_choice"
    named = {"type": "function", "function": {"name": "get_time"}}
    return [
        task(
            kind,
            "required",
            "Recife is nice.",
            tools=[t.WEATHER],
            tool_choice="required",
            steps=[[call("get_weather", city="Recife")]],
        ),
        task(
            kind,
            "required-of-two",
            "Tell me about the weather in Natal.",
            tools=t.ASSISTANT,
            tool_choice="required",
            steps=[[call("get_weather", city="Natal")]],
        ),
        task(
            kind,
            "named",
            "What is the weather in Recife?",
            tools=t.ASSISTANT,
            tool_choice=named,
            steps=[[call("get_time", city="Recife")]],
        ),
        task(
            kind,
            "none",
            "What is the weather in Recife? If you cannot look it up, say so.",
            tools=t.ASSISTANT,
            tool_choice="none",
            says=["."],
        ),
    ]
