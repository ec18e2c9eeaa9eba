-- What a store of the first schema held: a clinic of two patients, their answers, 300 readings, and the record of it.
INSERT INTO jhe_user (id, email, email_key, first_name, last_name, user_type, is_superuser, password_hash, disabled, created) VALUES
  (10001, 'Mary@example.org', 'mary@example.org', 'Mary', 'O''Neil', 'practitioner', FALSE, NULL, FALSE, 1700000000000000),
  (10002, 'peter@example.org', 'peter@example.org', '', '', 'patient', FALSE, NULL, FALSE, 1700000000000001),
  (10003, 'oezil@example.org', 'oezil@example.org', '', '', 'patient', FALSE, NULL, TRUE, 1700000000000002),
  (10004, 'admin@example.org', 'admin@example.org', 'Grace', 'Hall', 'practitioner', TRUE, NULL, FALSE, 1700000000000003);
INSERT INTO organization (id, name, type, part_of) VALUES (20001, 'Clinic', 'prov', 0), (20002, 'Ward', 'dept', 20001);
INSERT INTO code (id, coding_system, coding_code, text) VALUES
  (50001, 'https://w3id.org/openmhealth', 'omh:blood-glucose:4.0', 'Blood glucose'),
  (50002, 'https://w3id.org/openmhealth', 'omh:heart-rate:2.0', 'Heart Rate');
INSERT INTO data_source (id, name, type) VALUES (70001, 'Meter', 'personal_device');
INSERT INTO data_source_code (data_source_id, code_id) VALUES (70001, 50001), (70001, 50002);
INSERT INTO oauth_client (id, name, client_id, invitation_url, redirect_uris, confidential, secret_hash) VALUES
  (1, 'App', 'app', 'https://app.example.org/CODE', '', FALSE, NULL);
INSERT INTO oauth_client_data_source (oauth_client_id, data_source_id) VALUES (1, 70001);
INSERT INTO patient (id, user_id, name_family, name_given, birth_date, telecom_phone, last_updated) VALUES
  (40001, 10002, 'Özil', 'Peter', '1980-01-31', '+1 555 0100', 1700000000000000),
  (40002, 10003, 'Noor', 'Pamela', '1990-02-28', NULL, 1700000000000000);
INSERT INTO practitioner (id, user_id) VALUES (80001, 10001), (80002, 10004);
INSERT INTO practitioner_organization (organization_id, user_id, role, since) VALUES (20001, 10001, 'manager', 1700000000000000);
INSERT INTO patient_organization (organization_id, patient_id, since) VALUES
  (20001, 40001, 1700000000000000), (20001, 40002, 1700000000000000);
INSERT INTO patient_identifier (id, patient_id, system, value) VALUES (1, 40001, 'https://example.org/mrn', 'MRN-1');
INSERT INTO study (id, name, description, organization_id, icon_url, contact, data_after_withdrawal, last_updated) VALUES
  (30001, 'Glucose', 'A study', 20001, NULL, NULL, 'hide', 1700000000000000);
INSERT INTO study_client (study_id, oauth_client_id) VALUES (30001, 1);
INSERT INTO study_code (study_id, code_id) VALUES (30001, 50001), (30001, 50002);
INSERT INTO study_data_source (study_id, data_source_id) VALUES (30001, 70001);
INSERT INTO study_patient (study_id, patient_id, enrolled) VALUES
  (30001, 40001, 1700000000000000), (30001, 40002, 1700000000000000);
INSERT INTO consent (study_id, patient_id, code_id, consented, time, actor_id, reason) VALUES
  (30001, 40001, 50001, TRUE, 1700000001000000, 10002, NULL),
  (30001, 40002, 50001, FALSE, 1700000002000000, 10003, 'too much');
INSERT INTO consent_period (study_id, patient_id, code_id, start, "end") VALUES (30001, 40001, 50001, 1700000001000000, NULL);
INSERT INTO consent_ledger (seq, time, study_id, patient_id, code_id, decision, actor_id, on_behalf_of, reason) VALUES
  (1, 1700000000000000, 30001, NULL, 50001, 'requested', 10001, NULL, NULL),
  (2, 1700000000000000, 30001, NULL, 50002, 'requested', 10001, NULL, NULL),
  (3, 1700000000000000, 30001, 40001, NULL, 'enrolled', 10001, NULL, NULL),
  (4, 1700000000000000, 30001, 40002, NULL, 'enrolled', 10001, NULL, NULL),
  (5, 1700000001000000, 30001, 40001, 50001, 'granted', 10002, NULL, NULL),
  (6, 1700000002000000, 30001, 40002, 50001, 'declined', 10003, NULL, 'too much');
INSERT INTO invitation (id, patient_id, oauth_client_id, token_hash, status, email, issued_by, created, expires, last_updated) VALUES
  (1, 40001, 1, 'a1', 'issued', 'sent', 10001, 1700000000000000, 1700009999000000, 1700000000000000);
INSERT INTO token (id, user_id, token_hash, via, created, expires, revoked) VALUES
  (1, 10001, 'b1', 'token', 1700000000000000, 1900000000000000, NULL);
INSERT INTO observation
  (id, patient_id, code_id, data_source_id, status, effective_start, effective_end, utc_offset_minutes, modality, created, last_updated)
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
  SELECT 60000 + i, 40001, 50001, 70001, 'final', 1700000000000000 + CAST(i AS BIGINT) * 60000000, NULL, 60, 'sensed', 1700000000000000, 1700000000000000
  FROM n;
INSERT INTO observation_payload (observation_id, payload)
  SELECT id, '{"header":{"uuid":"' || id || '","schema_id":{"namespace":"omh","name":"blood-glucose","version":"4.0"},'
    || '"source_creation_date_time":"2023-11-14T22:13:20Z","modality":"sensed"},"body":{"blood_glucose":{"value":' || (id - 59900)
    || ',"unit":"mg/dL"},"effective_time_frame":{"date_time":"2023-11-14T23:13:20+01:00"}}}'
  FROM observation;
INSERT INTO observation_identifier (system, value, observation_id) SELECT 'https://example.org', 'm' || id, id FROM observation;
INSERT INTO change (seq, time, concept, id, organization_id, patient_id) VALUES
  (1, 1700000000000000, 'patient', 40001, 20001, 40001), (2, 1700000001000000, 'consent', 40001, 20001, 40001);
INSERT INTO audit
  (seq, time, actor_id, via, verb, patient_id, study_id, organization_id, outcome, count, request_id, address, hash) VALUES
  (1, 1700000000000000, 10001, 'token', 'patients.create', 40001, NULL, 20001, 'ok', 1, '0123456789abcdef', NULL,
    'c54b04b42b998bfaaa700671d72307077591bb6a65314a6c7455842d9ab22a8e'),
  (2, 1700000060000000, 10001, 'token', 'observations.search', NULL, 30001, NULL, 'ok', 2, 'fedcba9876543210', NULL,
    'f70f801007260ab7e4c6855c904a2d29f1e9d552fccca78a33107b98dc90e368'),
  (3, 1700000120000000, NULL, 'token', 'strangers', NULL, NULL, NULL, 'denied', 7, '', '192.0.2.7',
    '98aa518af148a2b81a342c7bb0983508fef042492f2a406a9a78464fbddc6d23');
INSERT INTO audit_subject (seq, kind, first_id, last_id) VALUES
  (1, 'organization', 20001, 20001), (1, 'patient', 40001, 40001),
  (2, 'organization', 20001, 20001), (2, 'patient', 40001, 40002);
