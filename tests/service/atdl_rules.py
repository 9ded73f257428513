"""What the published FIXatdl 1.1 schema (build 2.7.2e20101221) asks of a document, as far as ours use it.

For each element: its attributes (those that it must have are marked), and its children in the order of the schema's
sequence. `problems` checks names, namespaces, order, patterns, and the references between controls and parameters.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

CORE = "{http://www.fixprotocol.org/FIXatdl-1-1/Core}"
LAY = "{http://www.fixprotocol.org/FIXatdl-1-1/Layout}"
VAL = "{http://www.fixprotocol.org/FIXatdl-1-1/Validation}"
FLOW = "{http://www.fixprotocol.org/FIXatdl-1-1/Flow}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

NAME = r"[A-Za-z][A-Za-z0-9_]{0,255}"
TAG = r"[1-9][0-9]*"
BOOLEAN = "true|false|1|0"
ANY = ".*"
INT = r"-?[0-9]{1,10}"
# "!" marks what must be there.
ATTRIBUTES = {
    f"{CORE}Strategies": {
        "strategyIdentifierTag!": TAG,
        "versionIdentifierTag": TAG,
        "draftFlagIdentifierTag": TAG,
        "changeStrategyOnCxlRpl": BOOLEAN,
        "imageLocation": ANY,
        "tag957Support": BOOLEAN,
    },
    f"{CORE}Strategy": {
        "name!": NAME,
        "uiRep": ANY,
        "wireValue!": ANY,
        "version!": ANY,
        "fixMsgType": "D|E|AB|s",
        "disclosureDoc": ANY,
        "providerID": ANY,
        "providerSubID": ANY,
    },
    f"{CORE}Parameter": {
        "name!": NAME,
        "fixTag": TAG,
        "use": "required|optional",
        "mutableOnCxlRpl": BOOLEAN,
        "revertOnCxlRpl": BOOLEAN,
        "definedByFIX": BOOLEAN,
        f"{TYPE}!": "Int_t",
        "minValue": INT,
        "maxValue": INT,
        "constValue": INT,
    },
    f"{CORE}Description": {},
    f"{LAY}StrategyLayout": {},
    f"{LAY}StrategyPanel": {
        "title": ANY,
        "collapsed": BOOLEAN,
        "collapsible": BOOLEAN,
        "color": ANY,
        "orientation": "HORIZONTAL|VERTICAL",
        "border": "NONE|LINE",
    },
    f"{LAY}Control": {
        "ID!": NAME,
        "parameterRef": NAME,
        "label": ANY,
        "initFixField": ANY,
        "initPolicy": "UseValue|UseFixField",
        "tooltip": ANY,
        "disableForTemplate": BOOLEAN,
        f"{TYPE}!": "lay:SingleSpinner_t",
        "initValue": r"-?[0-9]+(\.[0-9]+)?",
        "increment": r"-?[0-9]+(\.[0-9]+)?",
        "incrementPolicy": "Tick|LotSize",
    },
    f"{VAL}StrategyEdit": {"errorMessage!": ANY},
    f"{VAL}Edit": {
        "field": ANY,
        "field2": ANY,
        "value": ANY,
        "operator": "EX|NX|EQ|NE|LE|LT|GE|GT",
        "logicOperator": "AND|OR|XOR|NOT",
        "id": ANY,
    },
}
CHILDREN = {
    f"{CORE}Strategies": (f"{CORE}Description", f"{VAL}Edit", f"{CORE}Strategy"),
    f"{CORE}Strategy": (
        f"{CORE}Description",
        f"{CORE}Regions",
        f"{CORE}Markets",
        f"{CORE}SecurityTypes",
        f"{CORE}Parameter",
        f"{VAL}Edit",
        f"{LAY}StrategyLayout",
        f"{CORE}RepeatingGroup",
        f"{VAL}StrategyEdit",
    ),
    f"{CORE}Parameter": (f"{CORE}Description", f"{CORE}EnumPair"),
    f"{CORE}Description": (),
    f"{LAY}StrategyLayout": (f"{LAY}StrategyPanel",),
    f"{LAY}StrategyPanel": (f"{LAY}StrategyPanel", f"{LAY}Control"),
    f"{LAY}Control": (f"{FLOW}StateRule", f"{LAY}HelpText"),
    f"{VAL}StrategyEdit": (f"{CORE}Description", f"{VAL}Edit"),
    f"{VAL}Edit": (f"{CORE}Description", f"{VAL}Edit", f"{VAL}EditRef"),
}
AT_MOST_ONE = (f"{CORE}Description", f"{LAY}StrategyLayout")


def problems(text: str) -> list[str]:
    root = ET.fromstring(text.encode())
    if root.tag != f"{CORE}Strategies":
        return [f"the root is {root.tag}"]
    found = [problem for element in root.iter() for problem in _element(element)]
    if root.find(f"{CORE}Strategy") is None:
        found.append("no Strategy")
    names = [strategy.get("name") for strategy in root.iter(f"{CORE}Strategy")]
    if len(set(names)) < len(names):
        found.append("two strategies of one name")
    for strategy in root.iter(f"{CORE}Strategy"):
        found += _references(strategy, root.get("tag957Support") == "true")
    return found


def _element(element: ET.Element) -> Iterator[str]:
    allowed = ATTRIBUTES.get(element.tag)
    if allowed is None:
        yield f"unknown element {element.tag}"
        return
    patterns = {name.rstrip("!"): pattern for name, pattern in allowed.items()}
    for name, value in element.attrib.items():
        if name not in patterns:
            yield f"{element.tag} has no attribute {name}"
        elif not re.fullmatch(patterns[name], value, re.DOTALL):
            yield f"{element.tag} {name}={value!r}"
    for name in allowed:
        if name.endswith("!") and name.rstrip("!") not in element.attrib:
            yield f"{element.tag} lacks {name.rstrip('!')}"
    order = CHILDREN[element.tag]
    places = [order.index(child.tag) if child.tag in order else -1 for child in element]
    if -1 in places or places != sorted(places):
        yield f"the children of {element.tag} are {[child.tag for child in element]}"
    for tag in AT_MOST_ONE:
        if len(element.findall(tag)) > 1:
            yield f"{element.tag} has more than one {tag}"


def _references(strategy: ET.Element, has_group: bool) -> Iterator[str]:
    parameters = [parameter.get("name") for parameter in strategy.iter(f"{CORE}Parameter")]
    controls = list(strategy.iter(f"{LAY}Control"))
    refs = [control.get("parameterRef") for control in controls if control.get("parameterRef")]
    ids = [control.get("ID") for control in controls]
    name = strategy.get("name")
    for what, values in (("parameters", parameters), ("controls", ids), ("references", refs)):
        if len(set(values)) < len(values):
            yield f"{name}: {what} that are not unique: {values}"
    if set(refs) - set(parameters):
        yield f"{name}: controls of unknown parameters {set(refs) - set(parameters)}"
    for parameter in strategy.iter(f"{CORE}Parameter"):
        low, high = int(parameter.get("minValue", "0")), int(parameter.get("maxValue", "0"))
        if not -(2**31) <= low <= high < 2**31:
            yield f"{name}: {parameter.get('name')} from {low} to {high}"
        if not has_group and parameter.get("fixTag") is None:
            yield f"{name}: {parameter.get('name')} has no tag, and tag957Support is not true"
    for edit in strategy.iter(f"{VAL}Edit"):
        if (edit.get("operator") is None) == (edit.get("logicOperator") is None):
            yield f"{name}: an Edit has one operator or one logicOperator"
        field = edit.get("field", "FIX_")
        if not field.startswith("FIX_") and field not in parameters:
            yield f"{name}: an Edit of the unknown field {field}"
