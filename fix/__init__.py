"""The FIX protocol, both roles, without I/O."""
