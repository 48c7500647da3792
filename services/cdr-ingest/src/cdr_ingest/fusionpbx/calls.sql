-- The columns of the CSV export that are used, each as the text that the export would show.
-- {which} selects by the start of a call, or by the time when its row was stored.
select
    c.xml_cdr_uuid::text as xml_cdr_uuid,
    coalesce(c.sip_call_id, '') as sip_call_id,
    coalesce(e.extension, '') as extension,
    coalesce(c.end_stamp::text, '') as end_stamp,
    coalesce(c.start_epoch::text, '') as start_epoch,
    coalesce(c.duration::text, '') as duration,
    coalesce(c.direction, '') as direction,
    coalesce(c.billsec::text, '') as billsec,
    coalesce(c.caller_id_name, '') as caller_id_name,
    coalesce(c.caller_id_number, '') as caller_id_number,
    coalesce(c.caller_destination, '') as caller_destination,
    coalesce(c.source_number, '') as source_number,
    coalesce(c.destination_number, '') as destination_number,
    coalesce(c.leg, '') as leg,
    coalesce(c.accountcode, '') as accountcode,
    coalesce(c.answer_stamp::text, '') as answer_stamp,
    coalesce(c.status, '') as status,
    coalesce(c.domain_name, '') as domain_name,
    {legs}
from v_xml_cdr as c
left join v_extensions as e on e.extension_uuid = c.extension_uuid
where ($3 = '*' or lower(c.domain_name) = lower($3))
    and ({which})
