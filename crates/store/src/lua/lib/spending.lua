-- What claims use up of a run's budget, and what is given back of an endpoint's rate.

-- A claim of which nothing was sent gives back what it took.
local function return_rate(endpoint, count)
  local interval, tat = unpack(redis.call('HMGET', endpoint_key(endpoint), 'rate_us', 'tat'))
  if not interval or not tat then return end
  redis.call('HSET', endpoint_key(endpoint), 'tat',
    string.format('%.3f', (tonumber(tat) or 0) - count * (tonumber(interval) or 0)))
end

-- The call of a lost worker may have been made: it is one of the budget.
local function lose_request(run)
  if redis.call('HEXISTS', run_key(run), 'budget') == 1 then redis.call('HINCRBY', run_key(run), 'spent_requests', 1) end
end

-- After a claim that took all there was: the endpoint leaves `ready:endpoints` until there is room again.
-- Answers when that is, if time alone brings it.
local function settle_place(endpoint)
  local room, at = admission(endpoint)
  if room >= 1 then return nil end
  redis.call('ZREM', key('ready:endpoints'), endpoint)
  wake_at(endpoint, at)
  return at
end

-- How many more requests a run's budget allows; those in flight are counted by their holders, so that none is counted twice.
-- Tokens and costs are known when a call has ended: nothing more is given out once they are used up.
local function affordable_requests(run, held)
  local requests, tokens, cost, spent, spent_tokens, spent_cost = unpack(redis.call('HMGET', run_key(run),
    'budget_requests', 'budget_tokens', 'budget_cost', 'spent_requests', 'spent_tokens', 'spent_cost'))
  if tokens and (tonumber(spent_tokens) or 0) >= (tonumber(tokens) or 0) then return 0 end
  if cost and (tonumber(spent_cost) or 0) >= (tonumber(cost) or 0) then return 0 end
  if not requests then return UNBOUNDED end
  return (tonumber(requests) or 0) - (tonumber(spent) or 0) - held
end

-- A run whose budget is used up ends when nothing of it is in flight any more.
local function end_if_spent(run, endpoint)
  local state, budget = unpack(redis.call('HMGET', run_key(run), 'state', 'budget'))
  if not budget or not is_open(state) then return end
  if redis.call('HLEN', run_key(run, 'owners')) > 0 or affordable_requests(run, 0) > 0 then return end
  begin_collection(run, endpoint, 'budget')
end
