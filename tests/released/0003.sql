-- What sign-in added to the third schema: a family of tokens with its refresh token, a code, a key, a session, a link.
INSERT INTO token_family (id, user_id, client_id, scope, created, expires, last_used, ended) VALUES
  (1, 10002, 'app', 'openid email', 1700000000000000, 1900000000000000, 1700000000000000, NULL);
UPDATE token SET family_id = 1 WHERE id = 1;
INSERT INTO refresh_token (token_hash, family_id, created, expires, used) VALUES ('c1', 1, 1700000000000000, 1900000000000000, NULL);
INSERT INTO authorization_code (code_hash, user_id, client_id, redirect_uri, scope, challenge, nonce, invitation_id, expires, used, family_id)
  VALUES ('d1', 10002, 'app', 'https://app.example.org/', 'openid', 'x', NULL, 1, 1700000600000000, 1700000300000000, 1);
INSERT INTO practitioner_client (id, user_id, name, client_id, secret_hash, created) VALUES (1, 10001, 'R', 'jhe-r', 'e1', 1700000000000000);
INSERT INTO browser_session (session_hash, user_id, created, expires) VALUES ('f1', 10001, 1700000000000000, 1900000000000000);
INSERT INTO password_link (link_hash, user_id, expires) VALUES ('g1', 10004, 1900000000000000);
INSERT INTO attempt (whose, minute, count) VALUES ('h1', 28333333, 3);
