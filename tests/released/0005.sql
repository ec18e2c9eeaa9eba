-- The fifth schema knows the Hub's users.
INSERT INTO hub_user (name, user_id, made, linked) VALUES ('mary', 10001, '2023-11-14T22:13:20Z', 1700000000000000);
