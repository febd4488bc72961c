-- Repeats prepared requests in turn and looks at every answer.
-- Arguments: the file of requests (each: its length, a newline, its bytes), a text and the statuses
-- of a correct response, and the milliseconds that a connection pauses before each request.

local requests, last, wanted, statuses = {}, 0, nil, {}
wrong, example = 0, ""
local threads = {}

function setup(thread)
   threads[#threads + 1] = thread
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wanted = args[2]
   local length = file:read("*n")
   while length do
      file:read(1)
      requests[#requests + 1] = file:read(length)
      length = file:read("*n")
   end
   file:close()
   -- Not always from the first on: who asked a moment ago may meet a throttle.
   last = os.time() * 7919 % #requests
   for code in args[3]:gmatch("%d+") do
      statuses[tonumber(code)] = true
   end
   local pause = tonumber(args[4])
   if pause > 0 then
      delay = function() return pause end
   end
end

function request()
   last = last % #requests + 1
   return requests[last]
end

function response(status, headers, body)
   if not statuses[status] or not body:find(wanted, 1, true) or body:find('"error"', 1, true) then
      wrong = wrong + 1
      example = status .. " " .. body:sub(1, 300):gsub("%s+", " ")
   end
end

function done(summary, latency)
   local failed = summary.errors
   local wrong, example = 0, ""
   for _, thread in ipairs(threads) do
      if thread:get("wrong") > 0 then
         wrong = wrong + thread:get("wrong")
         example = thread:get("example")
      end
   end
   print()
   print(table.concat({
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      failed.connect + failed.read + failed.write + failed.timeout, wrong, example,
   }, "\t"))
end
