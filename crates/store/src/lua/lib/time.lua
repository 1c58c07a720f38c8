-- The server's clock: the only one that leases, delays and deadlines are measured by (CLOCK-FREE).
local now, now_us
-- Lua's own number-to-text keeps 14 digits; microseconds have 16.
local function whole(number) return string.format('%.0f', number) end
-- A fence rises with every use, also after the server lost its newest writes: it is never below the time.
local function next_fence(last) return math.max((tonumber(last) or 0) + 1, now_us) end
--@call
local clock_reading = redis.call('TIME')
now = clock_reading[1] * 1000 + math.floor(clock_reading[2] / 1000)
now_us = clock_reading[1] * 1000000 + clock_reading[2]
