--- set_tenant: the weight by which a tenant shares an endpoint with others.
-- Promises: FAIR
-- Flags: allow-oom
-- Keys: tenants
-- ARGV: 1 tenant; 2 weight, or '' for 1
-- Answers: set
--@include keys
if ARGV[2] == '' then redis.call('HDEL', key('tenants'), ARGV[1])
else redis.call('HSET', key('tenants'), ARGV[1], ARGV[2]) end
return { 'set' }
