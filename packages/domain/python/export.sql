BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT json_build_object('ledger', l) FROM ledger l;
SELECT json_build_object('account', k) FROM account k;
SELECT json_build_object('change', b) FROM balance_change b ORDER BY b.acct_id, b.acct_seq;
COMMIT;
