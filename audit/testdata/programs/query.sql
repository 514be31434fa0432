-- A cursor that stays open keeps the code that was compiled for its query, where the
-- server can compile.
SET jit = on;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;
CREATE TABLE numbers AS SELECT generate_series(1, 10000) AS n;
BEGIN;
DECLARE hot CURSOR FOR SELECT n, n * 31 + sqrt(n) AS m FROM numbers WHERE n % 7 <> 3;
FETCH 5 FROM hot;
\echo ready
