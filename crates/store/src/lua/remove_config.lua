--- remove_config: forgets a stored test configuration. Runs made from it keep their own copy.
-- Promises: SUBMIT-ATOMIC
-- Flags: allow-oom
-- Keys: config configs
-- ARGV: 1 id
-- Answers: removed | unknown
--@include keys
redis.call('ZREM', key('configs'), ARGV[1])
if redis.call('DEL', key('config:' .. ARGV[1])) == 0 then return { 'unknown' } end
return { 'removed' }
