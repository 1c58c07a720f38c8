-- One token is enough: whoever takes it claims, and a claim that leaves work behind rings again. Tokens are
-- hints; workers poll as well, so a lost one delays by one poll and loses nothing.
local function ring()
  if redis.call('LLEN', key('bell')) == 0 then redis.call('LPUSH', key('bell'), '1') end
end
