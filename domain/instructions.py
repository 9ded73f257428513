"""What an order asks for beyond side, quantity, price and time in force: the same words inbound, in facts and outbound.

One struct, because each instruction is taken from the client's message, checked against its permissions, kept with the
order, changed by a replace and repeated in reports; a field of its own in each of those places would be five times the
code. Everything has a default that asks for nothing, so that an order without instructions costs nothing to write.
"""

import msgspec

from domain.fields import ExecInst, OrderCapacity


class Instructions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    exec_inst: tuple[ExecInst, ...] = ()  # ExecInst(18), each value once, in the order sent
    stop_px: int = 0  # StopPx(99), 0: none
    peg_offset_px: int = 0  # PegOffsetValue(211): added to the peg's reference, negative is below
    min_qty: int = 0  # MinQty(110), 0: any
    display_qty: int = 0  # MaxFloor(111), DisplayQty(1138) from FIX 5.0 on; 0: all may be shown
    expire_ns: int = 0  # ExpireTime(126), or the end of ExpireDate(432); 0: none
    locate_reqd: bool | None = None  # LocateReqd(114) of a short sale; None: not said
    order_capacity: OrderCapacity | None = None  # OrderCapacity(528), Rule80A(47) in FIX 4.2

    def has(self, exec_inst: ExecInst) -> bool:
        return exec_inst in self.exec_inst


NONE = Instructions()
