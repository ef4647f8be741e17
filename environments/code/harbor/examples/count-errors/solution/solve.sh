#!/bin/bash
grep -cE '^[^ ]+ [^ ]+ ERROR ' server.log > answer.txt
