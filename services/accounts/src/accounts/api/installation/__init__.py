"""/v1/servers and /v1/adoptions: the operator's servers, what they have, and what is off there."""
