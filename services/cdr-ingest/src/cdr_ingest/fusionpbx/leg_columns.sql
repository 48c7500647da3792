-- Which of these columns this version of the table of calls has.
select attname from pg_attribute
where attrelid = 'v_xml_cdr'::regclass and attnum > 0 and not attisdropped
    and attname = any($1::text[])
