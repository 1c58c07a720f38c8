-- A payload goes when its test has a result. That of a test that did not pass is kept for as long as the result is, so
-- that the test can be tried again after the run has ended (`reopen`).
local function keep(run, indices)
  local payloads, pairs_ = redis.call('HMGET', run_key(run, 'tests'), unpack(indices)), {}
  for i, payload in ipairs(payloads) do
    if payload then pairs_[#pairs_ + 1], pairs_[#pairs_ + 2] = indices[i], payload end
  end
  if #pairs_ > 0 then redis.call('HSET', run_key(run, 'kept'), unpack(pairs_)) end
end
