"""The trading vocabulary: prices, enumerations, instruments, orders, facts, market data. Imports nothing of ours."""
