#!/bin/sh
echo "${GREETING}"
