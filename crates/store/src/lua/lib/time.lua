-- The server's clock, as numbers and as texts: the only one that leases, delays and deadlines are measured by (CLOCK-FREE).
local now, now_us, now_text, now_us_text
-- Lua's own number-to-text keeps 14 digits; microseconds have 16.
local function whole(number) return string.format('%.0f', number) end
-- The same for whole numbers that are not negative, three digits at a time: many times faster where there are many of them.
local PLAIN, PADDED = {}, {}
local function memoised(known, format, number)
  local text = known[number]
  if not text then
    text = string.format(format, number)
    known[number] = text
  end
  return text
end
local function decimal(number)
  if number < 1000 then return memoised(PLAIN, '%d', number) end
  local low = number % 1000
  return decimal((number - low) / 1000) .. memoised(PADDED, '%03d', low)
end
-- A fence rises with every use, also after the server lost its newest writes: it is never below the time.
local function next_fence(last)
  last = tonumber(last)
  if last and last >= now_us then return whole(last + 1) end
  return now_us_text
end
--@call
local clock_reading = redis.call('TIME')
local seconds, micros = clock_reading[1], tonumber(clock_reading[2])
local millis = math.floor(micros / 1000)
now = seconds * 1000 + millis
now_us = seconds * 1000000 + micros
now_text = seconds .. memoised(PADDED, '%03d', millis)
now_us_text = now_text .. memoised(PADDED, '%03d', micros - millis * 1000)
