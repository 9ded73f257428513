"""The FIX protocol, both roles, without I/O. For a program of your own:

fix.engine      an application and its sessions, as one endpoint
fix.tcp         carries an endpoint over sockets
fix.config      what a session is told once; fix.validation, fix.schedule and fix.credentials belong to it
fix.store       where numbers and messages are kept: in memory or in a file
fix.message     what was received; fix.messages, what is sent, in typed form
fix.session     one session without any transport, for those who bring their own
"""
