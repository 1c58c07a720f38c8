-- Reading what has no count of its own.
local function each_field(name, visit)
  local cursor = '0'
  repeat
    local page = redis.call('HSCAN', name, cursor, 'COUNT', 500)
    cursor = page[1]
    for i = 1, #page[2], 2 do visit(page[2][i], page[2][i + 1]) end
  until cursor == '0'
end
-- Of the tests that were tried, those that wait for another attempt.
local function count_delayed(run)
  local count, seen = 0, {}
  each_field(run_key(run, 'tries'), function(index)
    if not seen[index] and redis.call('ZSCORE', key('delayed'), job_id(run, index)) then count = count + 1 end
    seen[index] = true
  end)
  return count
end
