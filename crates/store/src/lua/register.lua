--- register: makes a worker known, or begins a new epoch of a known one.
-- Promises: ZOMBIE-HARMLESS, PROGRESS-AFTER-HEAL
-- Flags: allow-oom
-- Keys: workers worker
-- ARGV: 1 worker incarnation; 2 lease ms; 3… field, value pairs for operators
-- Answers: registered (epoch, now ms)
--@include keys
--@include time
local worker = ARGV[1]
-- Not counted from 1: the hash goes when a worker is reaped, and a claim of before must not fit the epoch after.
local epoch = next_fence(redis.call('HGET', worker_key(worker), 'epoch'))
redis.call('HSET', worker_key(worker), 'epoch', epoch, 'lease_ms', ARGV[2], unpack(ARGV, 3))
redis.call('ZADD', key('workers'), whole(now + tonumber(ARGV[2])), worker)
return { 'registered', epoch, now }
