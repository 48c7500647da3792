"""How soon a service is switched after the call, or the payment, that was the reason."""
