-- Which process of the server answers: another one after a restart or a failover, which may have lost the newest
-- renewals. An account that may not ask for it goes by what was known.
local function server_process(known)
  local may_ask, said = pcall(redis.call, 'INFO', 'server')
  return may_ask and string.match(said, 'run_id:(%x+)') or known or ''
end
