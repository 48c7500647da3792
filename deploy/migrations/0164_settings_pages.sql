-- What the settings of the console show.

-- When a token was last used, and when an operator last logged in: an administrator sees which of them
-- nobody needs any more. `used_at` is written once in 5 minutes of use, as that of a session.
alter table accounts.token add column used_at timestamptz;
alter table accounts.operator add column last_login_at timestamptz;
update accounts.operator o set last_login_at = (
    select max(s.created_at) from accounts.session s where s.operator = o.name
);

-- The templates of mails as the notifier loaded them at its start, each with a mail to a sample client.
-- `own`: the operator's, from `folder`; else the packaged one.
create table notifier.mail_template (
    template text not null,
    language text not null,
    own boolean not null,
    folder text not null,
    subject text not null,
    text_body text not null,
    html_body text not null,
    warnings text[] not null,
    loaded_at timestamptz not null,
    primary key (template, language)
);
grant select, insert, delete on notifier.mail_template to ringfence_notifier;
create view report.mail_template as
select template, language, own, folder, subject, text_body as text, html_body as html, warnings, loaded_at
from notifier.mail_template;
grant select on report.mail_template to
    ringfence_cdr_ingest, ringfence_rating, ringfence_balance_watch,
    ringfence_suspender, ringfence_notifier, ringfence_accounts;
