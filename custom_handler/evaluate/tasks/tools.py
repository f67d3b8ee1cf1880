"""The tools of the tasks: those of assistants, of coding agents, and of company systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def text(description: str = "", **more: Any) -> Schema:
    """Return the schema of a string."""
    return {"type": "string", **({"description": description} if description else {}), **more}


def array(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def object_of(required: str = "", /, **properties: Schema) -> Schema:
    """Return the schema of an object; `required` are names, all by default."""
    names = required.split() if required else list(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def tool(name: str, description: str, parameters: Schema) -> Mapping[str, Any]:
    """Return a tool as `tools[].function` has it."""
    return {"name": name, "description": description, "parameters": parameters}


INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}

WEATHER = tool(
    "get_weather",
    "Current weather of a city.",
    object_of("city", city=text("City, without the country"), unit=text(enum=["celsius", "fahrenheit"])),
)
TIME = tool("get_time", "Current local time of a city.", object_of(city=text()))
SEARCH = tool("web_search", "Searches the web.", object_of("query", query=text(), limit=INTEGER))
FETCH = tool("fetch_page", "Fetches the text of a web page.", object_of(url=text()))
CALCULATE = tool("calculate", "Evaluates an arithmetic expression.", object_of(expression=text("Such as 2*(3+4)")))
EMAIL = tool(
    "send_email",
    "Sends an e-mail.",
    object_of("to subject body", to=array(text()), subject=text(), body=text(), urgent=BOOLEAN),
)
EVENT = tool(
    "create_event",
    "Creates an event in the calendar.",
    object_of(
        "title start",
        title=text(),
        start=text("ISO 8601, such as 2027-03-01T14:00"),
        minutes=INTEGER,
        attendees=array(object_of("email", email=text(), optional=BOOLEAN)),
        room=object_of("name", name=text(), floor=INTEGER),
    ),
)
CUSTOMER = tool("find_customer", "Finds a customer by e-mail address; returns the id.", object_of(email=text()))
ORDERS = tool("list_orders", "Lists the orders of a customer.", object_of(customer_id=text()))
REFUND = tool("refund_order", "Refunds an order.", object_of("order_id", order_id=text(), reason=text()))
QUERY = tool("run_sql", "Runs a read-only SQL query.", object_of(sql=text()))
ORDER = tool(
    "place_order",
    "Places an order.",
    object_of(
        "customer items",
        customer=object_of(
            "name address", name=text(), address=object_of("street city", street=text(), city=text(), zip=text())
        ),
        items=array(object_of("sku quantity", sku=text(), quantity=INTEGER, options=array(text()))),
        coupon=text(),
    ),
)
READ = tool("read_file", "Reads a text file.", object_of("path", path=text(), offset=INTEGER, limit=INTEGER))
WRITE = tool("write_file", "Writes a text file; overwrites it.", object_of(path=text(), content=text()))
EDIT = tool(
    "edit_file",
    "Replaces a text that occurs once in a file.",
    object_of("path old new", path=text(), old=text("Exact text"), new=text()),
)
BASH = tool("bash", "Runs a shell command.", object_of("command", command=text(), timeout=INTEGER))
GREP = tool("grep", "Searches files by a regular expression.", object_of("pattern", pattern=text(), path=text()))
TODO = tool(
    "todo_write",
    "Writes the list of tasks of this session.",
    object_of(todos=array(object_of(content=text(), status=text(enum=["pending", "in_progress", "completed"])))),
)
DELETE = tool("delete_file", "Deletes a file for good.", object_of(path=text()))
LIGHTS = tool(
    "set_lights", "Switches the lights of a room.", object_of("room on", room=text(), on=BOOLEAN, brightness=INTEGER)
)
PING = tool("ping", "Checks that the service is up.", object_of())

ASSISTANT = (WEATHER, TIME, SEARCH, CALCULATE, EMAIL)
CODING = (READ, WRITE, EDIT, BASH, GREP, TODO, DELETE)
OFFICE = (CUSTOMER, ORDERS, REFUND, EMAIL)
