#!/bin/sh
# A CGI program that says how many bytes it was sent: what Apache answers a POST with.
printf 'Content-Type: text/plain\r\n\r\n'
exec wc -c
