"""What is the matter with a client, in one word: SQL for those who list clients.

The query has, by client, `s` with what holds for any of its services (failed, off, open,
would_be_off), `p.prepaid`, whether any of its products is prepaid, and `l.level`.
"""

KINDS = ("failed", "off", "would be off", "exhausted", "switching", "metered", "low", "ok")
"""The states of a client, those that need help first: `failed` (switching failed), `off`,
`would be off` (in shadow), `exhausted` (without funds, but on), `switching`, `metered` (without
funds, and right: no product is prepaid), `low` and `ok`."""

SERVICE_FLAGS = """
        bool_or(confirmed = 'suspended') as off,
        bool_or(open) as open,
        bool_or(open and attempts > 0 and last_error <> '') as failed,
        bool_or(not live and would = 'suspended') as would_be_off,
        max(last_error) filter (where open) as last_error
"""
"""What holds for any service of a client: columns of a query of `report.service_state`."""

KIND = """
        case
            when s.failed then 'failed'
            when s.off and not s.open then 'off'
            when s.open then 'switching'
            when s.would_be_off then 'would be off'
            when l.level = 'exhausted' and p.prepaid then 'exhausted'
            when l.level = 'exhausted' then 'metered'
            when l.level = 'low' then 'low'
            else 'ok'
        end
"""
