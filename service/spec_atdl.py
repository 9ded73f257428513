"""FIXatdl 1.1: the strategies as XML, from which an EMS draws the tickets of its algorithms.

The rules are those of the published schema, build 2.7.2e20101221: the root is Strategies with strategyIdentifierTag; a
Strategy has its Description, Parameters, layout and edits in this order; a Control refers to a Parameter of the same
strategy by its name. A parameter that a client can't send is not in its file.
"""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from domain.fields import WORKED_ORD_TYPES, WORKED_TIMES_IN_FORCE
from gateway.clients import ClientConfig
from router.strategies import STRATEGIES
from router.strategies.schema import Parameter, Strategy
from service.spec_examples import can_send, has_group, strategies_of, wire_value

SPACES = {
    "": "http://www.fixprotocol.org/FIXatdl-1-1/Core",
    "lay": "http://www.fixprotocol.org/FIXatdl-1-1/Layout",
    "val": "http://www.fixprotocol.org/FIXatdl-1-1/Validation",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
CORE, LAY, VAL, XSI = (f"{{{space}}}" for space in SPACES.values())
VERSION = "1"
# Every client's own config, where no client is named: the standard's tags, and all that the router works.
ANYBODY = ClientConfig(name="ANY", accounts=("ANY",), ord_types=WORKED_ORD_TYPES, time_in_forces=WORKED_TIMES_IN_FORCE)


def atdl(client: ClientConfig = ANYBODY, provider: str = "FAIRLEAD") -> str:
    """The document, indented. `provider` names the broker."""
    for prefix, space in SPACES.items():
        ET.register_namespace(prefix, space)
    attributes = {"strategyIdentifierTag": str(client.strategy_tag), "changeStrategyOnCxlRpl": "false"}
    if has_group(client):
        attributes["tag957Support"] = "true"
    root = ET.Element(f"{CORE}Strategies", attributes)
    for name in strategies_of(client):
        root.append(_strategy(client, name, STRATEGIES[name], provider))
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    # A prefix within xsi:type is text to the library: it has to be declared though no element may use it.
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _strategy(client: ClientConfig, name: str, strategy: Strategy, provider: str) -> ET.Element:
    attributes = {
        "name": name,
        "uiRep": name.upper() if len(name) < 5 else name.capitalize(),
        "wireValue": wire_value(client, name),
        "version": VERSION,
        "fixMsgType": "D",
        "providerID": provider,
    }
    element = ET.Element(f"{CORE}Strategy", attributes)
    _describe(element, (strategy.__doc__ or "").split("\n\n")[0].replace("\n", " "))
    parameters = [parameter for parameter in strategy.PARAMETERS if can_send(client, parameter)]
    element.extend(_parameter(client, parameter) for parameter in parameters)
    if parameters:
        layout = ET.SubElement(element, f"{LAY}StrategyLayout")
        panel = ET.SubElement(
            layout, f"{LAY}StrategyPanel", {"title": "Parameters", "collapsible": "false", "orientation": "VERTICAL"}
        )
        panel.extend(_control(parameter) for parameter in parameters)
    element.extend(_edits(client, name, strategy))
    return element


def _parameter(client: ClientConfig, parameter: Parameter) -> ET.Element:
    attributes = {
        "name": parameter.name,
        f"{XSI}type": "Int_t",
        "use": "required" if parameter.required else "optional",
        "minValue": str(parameter.low),
        "maxValue": str(parameter.high),
    }
    if tag := client.parameter_tags.get(parameter.name):
        attributes["fixTag"] = str(tag)
    element = ET.Element(f"{CORE}Parameter", attributes)
    _describe(element, parameter.help)
    return element


def _control(parameter: Parameter) -> ET.Element:
    attributes = {
        "ID": f"c_{parameter.name}",
        f"{XSI}type": "lay:SingleSpinner_t",
        "label": parameter.name.replace("_", " ").capitalize(),
        "parameterRef": parameter.name,
        "increment": "1",
        "tooltip": parameter.help + (f" ({parameter.default} where it is left out)" if parameter.default else ""),
    }
    return ET.Element(f"{LAY}Control", attributes)


def _edits(client: ClientConfig, name: str, strategy: Strategy) -> Iterator[ET.Element]:
    """The types of order and times in force that the strategy works and the client may use."""
    types = [code.value for code in strategy.ORD_TYPES if code in client.ord_types]
    times = [code.value for code in strategy.TIMES_IN_FORCE if code in client.time_in_forces]
    for field, label, codes, may_be_absent in (
        ("FIX_OrdType", "order type", types, False),
        ("FIX_TimeInForce", "time in force", times, True),
    ):
        edit = ET.Element(f"{VAL}StrategyEdit", {"errorMessage": f"{name} works {label} {', '.join(codes)} only"})
        either = ET.SubElement(edit, f"{VAL}Edit", {"logicOperator": "OR"})
        if may_be_absent:
            ET.SubElement(either, f"{VAL}Edit", {"field": field, "operator": "NX"})
        for code in codes:
            ET.SubElement(either, f"{VAL}Edit", {"field": field, "operator": "EQ", "value": code})
        yield edit


def _describe(element: ET.Element, text: str) -> None:
    ET.SubElement(element, f"{CORE}Description").text = text.strip()
