-- report.lua: medians, figures and tables for the programs in bench/.

local report = {}

-- The middle value of a list of numbers; the list stays as it is.
function report.median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[n // 2 + 1] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
end

-- The median of a field over a list of tables, or of what a function (item, index) makes of them.
function report.median_of(list, field)
  local values = {}
  for i, item in ipairs(list) do
    values[i] = type(field) == "function" and field(item, i) or item[field]
  end
  return report.median(values)
end

-- The median of the quotients of a field of two lists, pair by pair. What slowed the machine for a
-- while slowed both halves of a pair, so this says more than the quotient of the medians.
function report.median_ratio(list, others, field)
  return report.median_of(list, function(item, i)
    return item[field] / others[i][field]
  end)
end

-- 1234567.8 -> "1,234,568"
function report.count(value)
  local sign, digits = ("%.0f"):format(value):match("^(%-?)(%d+)$")
  return sign .. digits:reverse():gsub("%d%d%d", "%0,"):gsub(",$", ""):reverse()
end

function report.verdict(met)
  return met and "ok" or "MISSED"
end

local function padded(text, width, left)
  local space = (" "):rep(width - utf8.len(text))
  return left and text .. space or space .. text
end

local function print_row(cells, widths)
  local line = {}
  for i, width in ipairs(widths) do
    line[i] = padded(cells[i] or "", width, i == 1)
  end
  print((table.concat(line, "  "):gsub("%s+$", "")))
end

-- Prints a table: the first column to the left, all others to the right.
function report.table(title, heads, rows)
  local widths = {}
  for i, head in ipairs(heads) do
    widths[i] = utf8.len(head)
    for _, row in ipairs(rows) do
      widths[i] = math.max(widths[i], utf8.len(row[i] or ""))
    end
  end
  print("\n" .. title)
  print_row(heads, widths)
  for _, row in ipairs(rows) do
    print_row(row, widths)
  end
  io.flush()
end

return report
