-- The script of chatkit.counters.redis.

-- name: take
-- key, amount, milliseconds of a window, limit or -1
local key, amount, window, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local left = redis.call('PTTL', key)
if left <= 0 then
  redis.call('SET', key, 0, 'PX', window)
  left = tonumber(window)
end
local total = tonumber(redis.call('GET', key))
local taken = limit < 0 or total + amount <= limit
if taken then
  total = redis.call('INCRBY', key, amount)
end
return {total, taken and 1 or 0, left}
