-- A mail with a link to the client's own page, for a client who asked for one (ADR 59).
alter table notifier.message drop constraint message_kind_check;
alter table notifier.message
    add constraint message_kind_check
        check (kind in ('low', 'zero', 'restored', 'alarm', 'digest', 'link')) not valid;
alter table notifier.message validate constraint message_kind_check;
