-- The next turn of a rate that several nodes share: the generic cell rate algorithm, booking ahead.
-- KEYS[1]: when the budget is whole again, in microseconds of the server's own clock, so that nodes' clocks do not matter.
-- ARGV: microseconds between turns; those that a whole budget is ahead; those that may be booked ahead;
--       "spent" where what was left before is not known.
-- Answers {1, microseconds to wait} for a booked turn, {0, microseconds to wait} where too many wait already.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, window, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- What somebody else put here, if it is no text at all, is replaced below.
local found = redis.pcall('GET', KEYS[1])
local whole = type(found) == 'string' and tonumber(found)
local foreign = found and not whole
whole = whole or now
-- The clock went back, or somebody else wrote here: as if everything was spent just now.
if foreign or not (whole <= now + window + ahead + interval) then whole = now + window end
if ARGV[4] == 'spent' then whole = math.max(whole, now + window) end
whole = math.max(whole, now)
local wait = math.max(whole + interval - window - now, 0)
if wait > ahead then return {0, wait - ahead} end
whole = whole + interval
-- Numbers become text with 14 digits by themselves, which is too few.
redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000) + 1)
return {1, wait}
