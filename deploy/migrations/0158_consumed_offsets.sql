-- How far each consumer group has read, in the database of its effects (ADR 55). Kafka knows it too:
-- where Kafka is further, this database was set back, and the group reads from here again.
create table rating.consumed_offset (
    consumer_group text not null,
    topic text not null,
    partition int not null,
    next_offset bigint not null check (next_offset >= 0),
    primary key (consumer_group, topic, partition)
);
create table balance_watch.consumed_offset (like rating.consumed_offset including all);
create table suspender.consumed_offset (like rating.consumed_offset including all);

grant select, insert, update, delete on rating.consumed_offset to ringfence_rating;
grant select, insert, update, delete on balance_watch.consumed_offset to ringfence_balance_watch;
grant select, insert, update, delete on suspender.consumed_offset to ringfence_suspender;
