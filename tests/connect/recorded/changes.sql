INSERT INTO shop.orders VALUES ('eu', 2, 'new'), ('us', 1, NULL)
-- next
UPDATE shop.orders SET note = 'changed' WHERE region = 'eu' AND number = 1
-- next
UPDATE shop.orders SET number = 3, note = 'moved' WHERE region = 'eu' AND number = 2
-- next
DELETE FROM shop.orders WHERE region = 'us'
-- next
INSERT INTO shop.documents
SELECT 1, 'first', repeat('x', 2500), decode(repeat('ab', 2500), 'hex'),
       jsonb_build_object('k', repeat('y', 2500)), array_fill('tag'::text, ARRAY[700]), array_fill(7, ARRAY[700]),
       array_fill(8::bigint, ARRAY[400]), array_fill('5f1b9a43-11bb-4a5c-9e0c-2f3a1d5c7e90'::uuid, ARRAY[200]),
       1.5
-- next
UPDATE shop.documents SET title = 'second' WHERE id = 1
-- next
UPDATE shop.documents SET id = 10 WHERE id = 1
-- next
DELETE FROM shop.documents WHERE id = 10
-- next
INSERT INTO shop.whole VALUES (1, 'a', 'kept')
-- next
UPDATE shop.whole SET note = 'b' WHERE id = 1
-- next
ALTER TABLE shop.whole ADD COLUMN added numeric(6, 3) DEFAULT 1.500
-- next
UPDATE shop.whole SET id = 2 WHERE id = 1
-- next
DELETE FROM shop.whole WHERE id = 2
-- next
INSERT INTO shop.keyless VALUES ('no key')
-- next
SELECT pg_logical_emit_message(true, 'penstock', 'a message')
-- next
INSERT INTO shop.types SELECT 7, true, 1, 2, 3, 'NaN', '-Infinity', 'NaN', 'Infinity', -12.34
-- next
INSERT INTO shop.signal VALUES ('1', 'execute-snapshot', '{"data-collections": ["shop.whole", "shop.orders"], "type": "incremental"}')
-- next
SELECT pg_sleep(5)
-- next
UPDATE shop.orders SET note = 'after the incremental snapshot' WHERE region = 'eu' AND number = 1
-- next
TRUNCATE shop.orders
