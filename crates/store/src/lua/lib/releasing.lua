-- Back to the queue: what a holder gives up, or what is taken from one that was lost.
-- Frees a test and lets it be claimed again from `due` on; in front of the others when that is now.
local function release_test(run, index, owner, attempts, lost, due)
  local state, endpoint = unpack(redis.call('HMGET', run_key(run), 'state', 'endpoint'))
  free(run, index, owner.worker, endpoint or nil)
  if not state then return 'unknown' end
  offer(endpoint)
  -- Also of a run that is being collected: the result it gives the test says what was tried. And of every test that waits for
  -- a time, so that those can be counted.
  local remembers = is_open(state) or state == 'collecting'
  if remembers and (attempts > 0 or lost > 0 or due > now) then
    remember_tries(run, index, attempts, lost, due, owner.begun)
  end
  if not is_open(state) then return 'closed' end
  if due > now then
    redis.call('ZADD', key('delayed'), whole(due), job_id(run, index))
    -- Its place is free: another test of the run may take it (in Parallel).
    local next_index, total = unpack(redis.call('HMGET', run_key(run), 'next', 'total'))
    if next_index ~= total or redis.call('LLEN', run_key(run, 'again')) > 0 then place(run, endpoint) end
  else
    redis.call('LPUSH', run_key(run, 'again'), index)
    place(run, endpoint)
  end
  end_if_spent(run, endpoint)
  return 'released'
end
