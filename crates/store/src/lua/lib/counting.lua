-- Derived from the results themselves, so it can neither drift nor become negative.
local function write_countdown(run, total)
  local left = total - redis.call('HLEN', run_key(run, 'results'))
  redis.call('SET', run_key(run, 'countdown'), left)
  return left
end
