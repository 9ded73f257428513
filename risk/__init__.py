"""Pure pre-trade checks. Each returns None or a Reject that names the limit and the value. Risk fails closed."""
