"""Which fields a client may send in each message, when and with which values: from the tables that refuse an order."""

from fix.codec import attributes
from fix.dictionary import Dictionary, Field, dictionary, typed_dictionary
from fix.messages import BY_MSG_TYPE
from gateway.clients import ClientConfig
from gateway.instructions import EXCLUSIONS, FIXED, PEGS, RULES, Rule, With
from router.strategies import STRATEGIES
from service.document import Code, Section, Table, Text
from service.spec_examples import application, has_group, strategies_of, wire_value

USER_DEFINED = 5000  # tags from here on are for the two sides to agree on
PARAMETER_GROUP = 957  # NoStrategyParameters
_RULES = {rule.tag: rule for rule in RULES}


def fields(client: ClientConfig, msg_type: str) -> Section:
    """Every field of a message that we look at, and those that would be refused."""
    known = typed_dictionary(application(client))
    layout = known.messages[msg_type]
    kind = BY_MSG_TYPE[msg_type]
    read = {int(a.tag): a for a in attributes(kind, layout.members, layout.required, known.name)}
    is_order = msg_type in ("D", "G")
    rules = {rule.tag: rule for rule in RULES if is_order and str(rule.tag) in layout.members}
    fixed = {tag: values for tag, values in FIXED.items() if is_order and str(tag) in layout.tags}
    own = {client.strategy_tag: "StrategyTag", **{tag: name for name, tag in client.parameter_tags.items()}}
    rows = []
    for tag in sorted({*read, *rules, *fixed, *(own if is_order else ())}):
        field = known.fields.get(str(tag)) or Field(tag, own.get(tag, ""), "STRING", {})
        required = str(tag) in layout.required or (tag in read and read[tag].required)
        if tag in own and is_order:
            rows.append((str(tag), own[tag] if tag >= USER_DEFINED else field.name, *_own(client, tag)))
        elif tag in rules:
            presence, values = _rule(rules[tag], client, field, known, required)
            rows.append((str(tag), field.name, presence, values, rules[tag].help))
        elif tag == PARAMETER_GROUP and has_group(client):
            rows.append((str(tag), field.name, "optional", "", "the parameters of the strategy, by name"))
        elif tag in fixed:
            presence, values = ("optional", ", ".join(fixed[tag][1])) if fixed[tag][1] else ("not allowed", "")
            rows.append((str(tag), field.name, presence, values, ""))
        else:
            rows.append((str(tag), field.name, "required" if required else "optional", *_plain(client, tag)))
    columns = ("tag", "field", "presence", "values", "meaning")
    title = f"{kind.__name__}({msg_type})"
    text = "Fields of the version that are not in this table are accepted and change nothing."
    return Section(title, [Table(columns, tuple(rows)), Text(text)])


def _plain(client: ClientConfig, tag: int) -> tuple[str, str]:
    if tag == 1:
        return ", ".join(client.accounts), "" if client.default_account else "has to be there"
    return "", ""


def _own(client: ClientConfig, tag: int) -> tuple[str, str, str]:
    if tag == client.strategy_tag:
        names = ", ".join(f"{wire_value(client, name)} {name}" for name in strategies_of(client))
        return "optional", names, f"the strategy; {client.default_strategy} where there is none"
    name = next(name for name, used in client.parameter_tags.items() if used == tag)
    users = [s for s in STRATEGIES if any(p.name == name for p in STRATEGIES[s].PARAMETERS)]
    return f"with the strategy {', '.join(users)}", "", "see Strategies"


def _rule(rule: Rule, client: ClientConfig, field: Field, known: Dictionary, required: bool) -> tuple[str, str]:
    """When the field may or must be there, and its values."""
    allowed = rule.values(client)
    only = _codes(rule.only, client)
    if allowed == () or only == []:
        return "not allowed", ""
    presence = "required" if required else "optional"
    needs = _codes(rule.required, client) if rule.needed(client) else None
    if rule.required is not None and needs:
        presence = f"required with {_named(rule.required, needs, known)}"
        if rule.instead and str(rule.instead) in known.fields:
            presence += f", or {known.fields[str(rule.instead)].name}({rule.instead})"
    if rule.only is not None and only:
        presence += ", else not allowed" if only == needs else f"; allowed only with {_named(rule.only, only, known)}"
    if rule.default:
        presence += f"; {rule.default} where it is absent"
    codes = [code for code in allowed or () if not field.values or code in field.values]
    return presence, ", ".join(_value(field, code) for code in codes) or ("above 0" if rule.above_zero else "")


def _codes(need: With | None, client: ClientConfig) -> list[str] | None:
    """Those of its values that the client may send."""
    if need is None:
        return None
    allowed = _RULES[need.tag].values(client)
    return [code for code in need.values if allowed is None or code in allowed]


def _named(need: With, codes: list[str], known: Dictionary) -> str:
    return f"{known.fields[str(need.tag)].name}({need.tag}) {', '.join(codes)}"


def _value(field: Field, code: str) -> str:
    return f"{code} {field.values[code].replace('_', ' ').lower()}" if code in field.values else code


def contradictions(client: ClientConfig) -> Section:
    known = dictionary(client.begin_string, application(client))
    rows = []
    for exclusion in EXCLUSIONS:
        ours, theirs = _RULES[exclusion.tag].values(client), _RULES[exclusion.other].values(client)
        codes = [code for code in exclusion.values if ours is None or code in ours]
        others = [code for code in exclusion.other_values if theirs is None or code in theirs]
        if codes and others:
            field, other = known.fields[str(exclusion.tag)], known.fields[str(exclusion.other)]
            rows.append(
                (
                    f"{field.name}({exclusion.tag})",
                    ", ".join(_value(field, code) for code in codes),
                    f"{other.name}({exclusion.other})",
                    ", ".join(_value(other, code) for code in others),
                )
            )
    blocks: list[Text | Table | Code] = [Table(("field", "values", "not with", "values"), tuple(rows))] if rows else []
    if "P" in client.ord_types:
        pegs = ", ".join(peg.value for peg in client.exec_insts if peg in PEGS)
        blocks.append(Text(f"A pegged order has exactly one of the instructions {pegs}."))
    blocks.append(Text("A quantity within an order, such as a smallest fill, is never above OrderQty(38)."))
    blocks.append(
        Text(
            "A replace names the order's last accepted ClOrdID(11) as OrigClOrdID(41). What it leaves out of the "
            "instructions and parameters stays as it was; symbol, side, account, time in force and strategy can't "
            "change."
        )
    )
    return Section("What contradicts what", blocks)
