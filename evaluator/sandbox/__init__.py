"""Programs that models wrote, executed where they can do no harm and forge no verdict.

- A run has jails of its own (``cells``): a *program jail* and, for unit tests, a *test jail*. Two
  runs share no process.
- In each jail one Python, the zygote, forks a process for each program (``inside``). That process
  loads a filter of system calls before it is sent the program.
- What a program returns comes out as plain data (``inside.plain``) and is compared here, or by the
  unit tests in the other jail. So a program has no expected value, no test and no verdict within
  its reach: no process of its own jail has ever held one.

``execute.Sandbox`` is where to begin. Nothing is imported here: the zygote loads this package.
"""
