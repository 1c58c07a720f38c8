--- revive: a notification that was given up is delivered after all, with all its attempts before it.
-- Promises: NOTIFY-ONCE-PLUS
-- Flags: none
-- Keys: run control:attempts outbox dead dead:jobs bell mails
-- ARGV: 1 run id
-- Answers: revived | unknown | gone
--@include keys
--@include time
--@include bell
local run = ARGV[1]
local job = 'notify:' .. run
local record = redis.call('HGET', key('dead:jobs'), job)
if not record then return { 'unknown' } end
-- What is mailed is read from the run; its retention is over.
if redis.call('EXISTS', run_key(run)) == 0 then return { 'gone' } end
local readable, found = pcall(cjson.decode, record)
if not readable or type(found) ~= 'table' or type(found.payload) ~= 'string' then return { 'gone' } end
redis.call('ZREM', key('dead'), job)
redis.call('HDEL', key('dead:jobs'), job)
redis.call('HDEL', key('control:attempts'), job)
redis.call('HSET', key('outbox'), run, found.payload)
redis.call('HSET', run_key(run), 'mail', 'queued')
redis.call('HDEL', run_key(run), 'mail_error')
redis.call('ZADD', key('mails'), now_text, job)
ring()
return { 'revived' }
