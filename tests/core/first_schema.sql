-- A store as the first schema (0001) kept it: some rows in every table. Never to be changed.
BEGIN TRANSACTION;
CREATE TABLE checkpoints (
	name VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_checkpoints PRIMARY KEY (name), 
	CONSTRAINT uq_checkpoints_seq UNIQUE (seq)
);
INSERT INTO "checkpoints" VALUES('base',1,'0000000000000000000000000000000000000000000000000000000000000000','2026-11-21 17:35:54.689709','{"name":"base","path":"base","sha256":"0000000000000000000000000000000000000000000000000000000000000000","parent":null,"recipe":{"algorithm":"random initialisation","seed":0}}');
INSERT INTO "checkpoints" VALUES('c1',2,'1111111111111111111111111111111111111111111111111111111111111111','2026-11-21 17:35:54.690734','{"name":"c1","path":"c1","sha256":"1111111111111111111111111111111111111111111111111111111111111111","parent":"base","recipe":{"rows":4}}');
CREATE TABLE gates (
	id VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	candidate_id VARCHAR NOT NULL, 
	incumbent_id VARCHAR NOT NULL, 
	panel_digest VARCHAR NOT NULL, 
	answer VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_gates PRIMARY KEY (id), 
	CONSTRAINT fk_gates_candidate_id FOREIGN KEY(candidate_id) REFERENCES releases (id), 
	CONSTRAINT fk_gates_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT uq_gates_seq UNIQUE (seq)
);
INSERT INTO "gates" VALUES('gate-1',1,'run','rel-1','rel-0','digest','promote','2026-11-21 17:35:54.845153','{"id":"gate-1","candidate_id":"rel-1","incumbent_id":"rel-0","panel_digest":"digest","use":1,"alpha":0.0125,"outcomes":[{"task_id":"task-1","family":"f","old":false,"new":true}],"difference":{"mean":0.1,"low":0.01,"high":0.2,"level":0.95},"lower_bound":0.01,"p_value":0.01,"answer":"promote","tasks_needed":null,"uses":null,"reason":"because"}');
CREATE TABLE ledger (
	seq INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	item_id VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_ledger PRIMARY KEY (seq)
);
INSERT INTO "ledger" VALUES(1,'proposed','item-0-0','2026-11-21 17:35:54.678448','{"seq":1,"kind":"proposed","item_id":"item-0-0","item":{"id":"item-0-0","kind":"strategy","title":"Press it","when_to_use":"when asked","content":"Press the button.","when_not":"","scope":{"suite":"","environment":"","actions":[]},"evidence":["traj-0000"],"source_tasks":[],"outcome_source":"environment","author":{"distiller":"extractive","model":"","prompt_version":""},"trust":"environment","parent_id":null},"status":null,"evidence":[],"source_tasks":[],"to_version":null,"actor":"test","reason":""}');
INSERT INTO "ledger" VALUES(2,'status','item-0-0','2026-11-21 17:35:54.678448','{"seq":2,"kind":"status","item_id":"item-0-0","item":null,"status":"active","evidence":[],"source_tasks":[],"to_version":null,"actor":"test","reason":"because"}');
CREATE TABLE marks (
	run_id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	value JSON NOT NULL, 
	CONSTRAINT pk_marks PRIMARY KEY (run_id, "key"), 
	CONSTRAINT fk_marks_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "marks" VALUES('run','cycle/1/start','2026-11-21 17:35:54.425630','{"release":"rel-0"}');
INSERT INTO "marks" VALUES('run','cycle/1/done','2026-11-21 17:35:54.455904','{"cycle":1}');
INSERT INTO "marks" VALUES('run','cycle/1/offered','2026-11-21 17:35:54.678268','{}');
CREATE TABLE proposals (
	trajectory_id VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	item_id VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_proposals PRIMARY KEY (trajectory_id, position), 
	CONSTRAINT fk_proposals_trajectory_id FOREIGN KEY(trajectory_id) REFERENCES trajectories (id)
);
INSERT INTO "proposals" VALUES('traj-0000',0,'item-0-0','2026-11-21 17:35:54.457671','{"id":"item-0-0","kind":"strategy","title":"Press it","when_to_use":"when asked","content":"Press the button.","when_not":"","scope":{"suite":"","environment":"","actions":[]},"evidence":["traj-0000"],"source_tasks":[],"outcome_source":"environment","author":{"distiller":"extractive","model":"","prompt_version":""},"trust":"environment","parent_id":null}');
INSERT INTO "proposals" VALUES('traj-0000',1,'item-0-1','2026-11-21 17:35:54.457671','{"id":"item-0-1","kind":"strategy","title":"Press it","when_to_use":"when asked","content":"Press the button.","when_not":"","scope":{"suite":"","environment":"","actions":[]},"evidence":["traj-0000"],"source_tasks":[],"outcome_source":"environment","author":{"distiller":"extractive","model":"","prompt_version":""},"trust":"environment","parent_id":null}');
INSERT INTO "proposals" VALUES('traj-0001',0,'item-1-0','2026-11-21 17:35:54.553366','{"id":"item-1-0","kind":"strategy","title":"Press it","when_to_use":"when asked","content":"Press the button.","when_not":"","scope":{"suite":"","environment":"","actions":[]},"evidence":["traj-0001"],"source_tasks":[],"outcome_source":"environment","author":{"distiller":"extractive","model":"","prompt_version":""},"trust":"environment","parent_id":null}');
INSERT INTO "proposals" VALUES('traj-0001',1,'item-1-1','2026-11-21 17:35:54.553366','{"id":"item-1-1","kind":"strategy","title":"Press it","when_to_use":"when asked","content":"Press the button.","when_not":"","scope":{"suite":"","environment":"","actions":[]},"evidence":["traj-0001"],"source_tasks":[],"outcome_source":"environment","author":{"distiller":"extractive","model":"","prompt_version":""},"trust":"environment","parent_id":null}');
INSERT INTO "proposals" VALUES('traj-0002',0,'item-2-0','2026-11-21 17:35:54.642584','{"id":"item-2-0","kind":"strategy","title":"Press it","when_to_use":"when asked","content":"Press the button.","when_not":"","scope":{"suite":"","environment":"","actions":[]},"evidence":["traj-0002"],"source_tasks":[],"outcome_source":"environment","author":{"distiller":"extractive","model":"","prompt_version":""},"trust":"environment","parent_id":null}');
INSERT INTO "proposals" VALUES('traj-0002',1,'item-2-1','2026-11-21 17:35:54.642584','{"id":"item-2-1","kind":"strategy","title":"Press it","when_to_use":"when asked","content":"Press the button.","when_not":"","scope":{"suite":"","environment":"","actions":[]},"evidence":["traj-0002"],"source_tasks":[],"outcome_source":"environment","author":{"distiller":"extractive","model":"","prompt_version":""},"trust":"environment","parent_id":null}');
CREATE TABLE recalls (
	id VARCHAR NOT NULL, 
	trajectory_id VARCHAR NOT NULL, 
	bank_version INTEGER NOT NULL, 
	release_id VARCHAR NOT NULL, 
	arm VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_recalls PRIMARY KEY (id), 
	CONSTRAINT fk_recalls_trajectory_id FOREIGN KEY(trajectory_id) REFERENCES trajectories (id)
);
INSERT INTO "recalls" VALUES('recall-0','traj-0000',3,'rel-0','on','2026-11-21 17:35:54.457671','{"id":"recall-0","trajectory_id":"traj-0000","query":"press OK","ranker":"similarity","bank_version":3,"release_id":"rel-0","eligible":5,"ranked":[{"item_id":"item-1","score":0.5,"propensity":0.5,"shown":true}],"arm":"on","arm_propensity":1.0,"info":{}}');
INSERT INTO "recalls" VALUES('recall-1','traj-0001',3,'rel-0','on','2026-11-21 17:35:54.553366','{"id":"recall-1","trajectory_id":"traj-0001","query":"press OK","ranker":"similarity","bank_version":3,"release_id":"rel-0","eligible":5,"ranked":[{"item_id":"item-1","score":0.5,"propensity":0.5,"shown":true}],"arm":"on","arm_propensity":1.0,"info":{}}');
INSERT INTO "recalls" VALUES('recall-2','traj-0002',3,'rel-0','on','2026-11-21 17:35:54.642584','{"id":"recall-2","trajectory_id":"traj-0002","query":"press OK","ranker":"similarity","bank_version":3,"release_id":"rel-0","eligible":5,"ranked":[{"item_id":"item-1","score":0.5,"propensity":0.5,"shown":true}],"arm":"on","arm_propensity":1.0,"info":{}}');
CREATE TABLE release_events (
	seq INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	release_id VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_release_events PRIMARY KEY (seq), 
	CONSTRAINT fk_release_events_release_id FOREIGN KEY(release_id) REFERENCES releases (id)
);
INSERT INTO "release_events" VALUES(1,'created','rel-0','2026-11-21 17:35:54.733787','{"seq":1,"kind":"created","release_id":"rel-0","gate_id":null,"reason":"the first"}');
INSERT INTO "release_events" VALUES(2,'promoted','rel-0','2026-11-21 17:35:54.771635','{"seq":2,"kind":"promoted","release_id":"rel-0","gate_id":null,"reason":"nothing before"}');
INSERT INTO "release_events" VALUES(3,'created','rel-1','2026-11-21 17:35:54.773151','{"seq":3,"kind":"created","release_id":"rel-1","gate_id":null,"reason":"a candidate"}');
INSERT INTO "release_events" VALUES(4,'promoted','rel-1','2026-11-21 17:35:54.842930','{"seq":4,"kind":"promoted","release_id":"rel-1","gate_id":"gate-1","reason":"because"}');
CREATE TABLE releases (
	id VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_releases PRIMARY KEY (id), 
	CONSTRAINT uq_releases_name UNIQUE (name), 
	CONSTRAINT uq_releases_seq UNIQUE (seq)
);
INSERT INTO "releases" VALUES('rel-0',1,'r0','2026-11-21 17:35:54.731858','{"id":"rel-0","name":"r0","model":"tiny-0","bank_version":0,"harness":"h1","parent_id":null}');
INSERT INTO "releases" VALUES('rel-1',2,'r1','2026-11-21 17:35:54.772711','{"id":"rel-1","name":"r1","model":"tiny-1","bank_version":1,"harness":"h1","parent_id":null}');
CREATE TABLE runs (
	id VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	title VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	settings JSON NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT uq_runs_seq UNIQUE (seq)
);
INSERT INTO "runs" VALUES('run',1,'levers, seed 0','2026-11-21 17:35:54.354620','2026-11-21 17:35:54.887875','{"seed":0,"suite":"levers","nested":{"a":[1,2.5,null]}}');
CREATE TABLE trajectories (
	id VARCHAR NOT NULL, 
	run_id VARCHAR NOT NULL, 
	phase VARCHAR NOT NULL, 
	arm VARCHAR NOT NULL, 
	release_id VARCHAR NOT NULL, 
	task_id VARCHAR NOT NULL, 
	template_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	success BOOLEAN, 
	reward FLOAT NOT NULL, 
	steps INTEGER NOT NULL, 
	"end" VARCHAR NOT NULL, 
	seconds FLOAT NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_trajectories PRIMARY KEY (id), 
	CONSTRAINT fk_trajectories_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "trajectories" VALUES('traj-0000','run','collect','arm','rel-0','task-0','template-0',0,1,1.0,1,'terminated',0.25,'2026-11-21 17:35:54.457671','{"id":"traj-0000","run_id":"run","task":{"id":"task-0","suite":"suite","environment":"page","template_id":"template-0","split":"learn","seed":0,"instruction":"","params":{"nested":{"list":[1,2.5,null,true,"ünïcödé 🦉"]}},"version":""},"phase":"collect","release_id":"rel-0","attempt":0,"arm":"arm","instruction":"press OK","steps":[{"index":0,"observation":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]},"calls":[{"id":"call-0","model":"tiny-0","request":{"purpose":"act","messages":[{"role":"user","spans":[{"kind":"memory","text":"hint","item_id":"item-1"}],"tool_calls":[],"tool_call_id":""}],"options":["click \"OK\"","stop"],"tools":[],"temperature":0.0,"explore":0.0,"max_tokens":512,"seed":7},"reply":{"text":"click \"OK\"","tool_calls":[],"choice":{"logprobs":[-0.1,-2.3025850929940455],"index":0,"explored":false},"tokens":{"prompt_ids":[1,2,3],"span_ranges":[[0,3]],"sampled_ids":[4,5],"logprobs":[-0.05,-0.05],"allowed":[[4,9]]},"usage":{"prompt_tokens":3,"completion_tokens":2,"cost_usd":0.0},"finish_reason":"stop"},"parent_id":null}],"action":{"text":"click \"OK\"","tool_call":null},"result":{"observation":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]},"reward":1.0,"terminated":true,"truncated":false,"info":{"raw":1},"success":true,"cost":0.0,"violation":""}}],"end":"terminated","reward":1.0,"success":true,"error":"","final":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]}}');
INSERT INTO "trajectories" VALUES('traj-0001','run','collect','arm','rel-0','task-1','template-1',0,0,1.0,1,'terminated',0.25,'2026-11-21 17:35:54.553366','{"id":"traj-0001","run_id":"run","task":{"id":"task-1","suite":"suite","environment":"page","template_id":"template-1","split":"learn","seed":1,"instruction":"","params":{"nested":{"list":[1,2.5,null,true,"ünïcödé 🦉"]}},"version":""},"phase":"collect","release_id":"rel-0","attempt":0,"arm":"arm","instruction":"press OK","steps":[{"index":0,"observation":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]},"calls":[{"id":"call-1","model":"tiny-0","request":{"purpose":"act","messages":[{"role":"user","spans":[{"kind":"memory","text":"hint","item_id":"item-1"}],"tool_calls":[],"tool_call_id":""}],"options":["click \"OK\"","stop"],"tools":[],"temperature":0.0,"explore":0.0,"max_tokens":512,"seed":7},"reply":{"text":"click \"OK\"","tool_calls":[],"choice":{"logprobs":[-0.1,-2.3025850929940455],"index":0,"explored":false},"tokens":{"prompt_ids":[1,2,3],"span_ranges":[[0,3]],"sampled_ids":[4,5],"logprobs":[-0.05,-0.05],"allowed":[[4,9]]},"usage":{"prompt_tokens":3,"completion_tokens":2,"cost_usd":0.0},"finish_reason":"stop"},"parent_id":null}],"action":{"text":"click \"OK\"","tool_call":null},"result":{"observation":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]},"reward":1.0,"terminated":true,"truncated":false,"info":{"raw":1},"success":false,"cost":0.0,"violation":""}}],"end":"terminated","reward":1.0,"success":false,"error":"","final":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]}}');
INSERT INTO "trajectories" VALUES('traj-0002','run','collect','arm','rel-0','task-2','template-2',0,NULL,1.0,1,'terminated',0.25,'2026-11-21 17:35:54.642584','{"id":"traj-0002","run_id":"run","task":{"id":"task-2","suite":"suite","environment":"page","template_id":"template-2","split":"learn","seed":2,"instruction":"","params":{"nested":{"list":[1,2.5,null,true,"ünïcödé 🦉"]}},"version":""},"phase":"collect","release_id":"rel-0","attempt":0,"arm":"arm","instruction":"press OK","steps":[{"index":0,"observation":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]},"calls":[{"id":"call-2","model":"tiny-0","request":{"purpose":"act","messages":[{"role":"user","spans":[{"kind":"memory","text":"hint","item_id":"item-1"}],"tool_calls":[],"tool_call_id":""}],"options":["click \"OK\"","stop"],"tools":[],"temperature":0.0,"explore":0.0,"max_tokens":512,"seed":7},"reply":{"text":"click \"OK\"","tool_calls":[],"choice":{"logprobs":[-0.1,-2.3025850929940455],"index":0,"explored":false},"tokens":{"prompt_ids":[1,2,3],"span_ranges":[[0,3]],"sampled_ids":[4,5],"logprobs":[-0.05,-0.05],"allowed":[[4,9]]},"usage":{"prompt_tokens":3,"completion_tokens":2,"cost_usd":0.0},"finish_reason":"stop"},"parent_id":null}],"action":{"text":"click \"OK\"","tool_call":null},"result":{"observation":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]},"reward":1.0,"terminated":true,"truncated":false,"info":{"raw":1},"success":null,"cost":0.0,"violation":""}}],"end":"terminated","reward":1.0,"success":null,"error":"","final":{"instruction":"press OK","text":"button \"OK\"\n","actions":["click \"OK\"","stop"],"tools":[],"artifacts":[]}}');
CREATE TABLE verdicts (
	seq INTEGER NOT NULL, 
	trajectory_id VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	author VARCHAR NOT NULL, 
	success BOOLEAN NOT NULL, 
	score FLOAT NOT NULL, 
	created_at DATETIME NOT NULL, 
	body JSON NOT NULL, 
	CONSTRAINT pk_verdicts PRIMARY KEY (seq), 
	CONSTRAINT fk_verdicts_trajectory_id FOREIGN KEY(trajectory_id) REFERENCES trajectories (id)
);
INSERT INTO "verdicts" VALUES(1,'traj-0000','environment','',1,1.0,'2026-11-21 17:35:54.521142','{"trajectory_id":"traj-0000","source":"environment","success":true,"score":1.0,"confidence":1.0,"reason":"","author":""}');
INSERT INTO "verdicts" VALUES(2,'traj-0001','environment','',1,1.0,'2026-11-21 17:35:54.554144','{"trajectory_id":"traj-0001","source":"environment","success":true,"score":1.0,"confidence":1.0,"reason":"","author":""}');
INSERT INTO "verdicts" VALUES(3,'traj-0001','environment','',0,0.0,'2026-11-21 17:35:54.554613','{"trajectory_id":"traj-0001","source":"environment","success":false,"score":0.0,"confidence":1.0,"reason":"","author":""}');
INSERT INTO "verdicts" VALUES(4,'traj-0002','environment','',1,1.0,'2026-11-21 17:35:54.661940','{"trajectory_id":"traj-0002","source":"environment","success":true,"score":1.0,"confidence":1.0,"reason":"","author":""}');
INSERT INTO "verdicts" VALUES(5,'traj-0002','environment','',0,0.0,'2026-11-21 17:35:54.662797','{"trajectory_id":"traj-0002","source":"environment","success":false,"score":0.0,"confidence":1.0,"reason":"","author":""}');
CREATE TABLE wisen_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT wisen_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "wisen_schema" VALUES('0001');
CREATE INDEX ix_ledger_item_id ON ledger (item_id);
CREATE INDEX ix_gates_panel_digest ON gates (panel_digest);
CREATE INDEX ix_gates_run_id ON gates (run_id);
CREATE INDEX ix_release_events_release_id ON release_events (release_id);
CREATE INDEX ix_trajectories_release_id ON trajectories (release_id);
CREATE INDEX ix_trajectories_run_id_phase ON trajectories (run_id, phase);
CREATE INDEX ix_trajectories_task_id ON trajectories (task_id);
CREATE INDEX ix_proposals_item_id ON proposals (item_id);
CREATE INDEX ix_recalls_trajectory_id ON recalls (trajectory_id);
CREATE INDEX ix_verdicts_trajectory_id ON verdicts (trajectory_id);
COMMIT;
