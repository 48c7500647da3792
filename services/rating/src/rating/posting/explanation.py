"""The part of `call.rated.v1` that is stored with a charge, as JSON. Pure."""

from rating.pricing.rate_call import NotBilled, Rated, as_json, as_text
from ringfence_contracts.events.call import CallCompleted


def call_details(call: CallCompleted, service_id: str, outcome: Rated | NotBilled) -> str:
    """The second half of `call.rated.v1`: an entry's explanation, or a detail of not_billed.

    It is formatted by hand because it is made for every call: ids, directions and numbers hold
    nothing that JSON escapes.
    """
    billed_s = free_s = 0
    billsec = call.billsec
    if isinstance(outcome, Rated):
        billed_s, free_s, billsec = outcome.billed_s, outcome.free_s, outcome.priced.billsec
    return (
        f'{{"service_id":"{service_id}","direction":"{call.direction}"'
        f',"number":{as_text(outcome.number)},"billsec":{billsec}'
        f',"billed_s":{billed_s},"free_s":{free_s}'
        f',"started_at":{as_json(call.started_at)},"answered_at":{as_json(call.answered_at)}'
        f',"explanation":{outcome.explanation_json()}}}'
    )
