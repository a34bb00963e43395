"""Sessions of psql that are given one statement after the other, and can be left waiting."""
import signal
import subprocess
import threading

ANSWER_S = 300  # nothing in a test takes that long: it hangs


class Session:
    def __init__(self, s, start=''):
        self.p = subprocess.Popen(['psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose'], env=s.env, cwd=s.work, text=True, errors='replace', bufsize=1,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.count, self.thread, self.lines = 0, None, []
        self.pid = int(self('select pg_backend_pid()'))
        if start:
            self(start)

    def send(self, sql):
        self.count += 1
        self.lines = []
        self.p.stdin.write('%s;\n\\warn done %d\n' % (sql, self.count))
        self.p.stdin.flush()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.p.stdout:
            if line == 'done %d\n' % self.count:
                return
            if not line.startswith('LOCATION:'):
                self.lines.append(line.rstrip('\n'))

    def waits(self, seconds=0.7):
        self.thread.join(seconds)
        return self.thread.is_alive()

    def answer(self):
        """what came of it; all there is when the session ended"""
        self.thread.join(ANSWER_S)
        assert not self.thread.is_alive(), 'no answer'
        return '\n'.join(self.lines)

    def __call__(self, sql):
        self.send(sql)
        return self.answer()

    def interrupt(self):
        """as Control-C: psql sends the protocol's cancel request, and ends once it is answered"""
        self.p.send_signal(signal.SIGINT)

    def close(self):
        try:
            self.p.stdin.close()
        except OSError:  # it is gone, and with it what was not yet written
            pass
        self.p.wait(60)
        self.thread.join(ANSWER_S)
        self.p.stdout.close()
