"""Every member of every operation, accepted and refused: with each botocore at hand."""
import os
import shutil
import subprocess
import unittest

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../conformance/run.py')


def interpreters():
    """those with a boto3: Debian's, whose models are old, and the first on the path"""
    found = {os.path.realpath(p): p for p in ('/usr/bin/python3', shutil.which('python3')) if p}
    return [p for p in found.values() if subprocess.run([p, '-c', 'import boto3'], stderr=subprocess.DEVNULL).returncode == 0]


class Conformance(unittest.TestCase):
    def test_each_interpreter(self):
        pythons = interpreters()
        self.assertTrue(pythons, 'no python3 has boto3')
        # At the same time, each with an instance of its own: most of the time is waiting.
        runs = [(p, subprocess.Popen([p, RUN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)) for p in pythons]
        for python, run in runs:
            with self.subTest(python=python):
                try:
                    out, _ = run.communicate(timeout=300)
                finally:
                    run.kill()  # nothing, once it has ended
                self.assertEqual(run.returncode, 0, out)
