// Package store keeps a study in one directory, the run, so that a crash at any moment loses no completed row and damage
// is noticed. FORMAT.md beside this file describes every file of it.
//
// Writing needs the directory's lock, which one process can hold:
//
//	Prepare(dir, manifest, allow)      creates a run or resumes it (Create and Open do one of the two); Run.Manifest
//	Run.Rows, Run.EvaluationRows       *Rows: Completed says what is left, Commit stores rows, from any goroutine
//	Run.Extend                         adds rows
//	Run.AddGradients, Run.Gradients    lots of gradient rows: *Gradients, Commit stores examples, Hold part of one
//	Lock(dir)                          *Dir, for results in a bare directory; a Run is a Dir
//	Dir.WriteFloat32, WriteInt32, WriteFile, CreateArray, CreateJSON     result files, replaced atomically
//	Dir.WriteTogether, CommitTogether  several files, the first of which describes the others
//	Dir.Seal(names...)                 records digests of finished files: Run.Files, Rows.Files, the results' names
//	Dir.Close                          gives the lock up
//
// Reading needs no lock and no write permission:
//
//	ReadManifest(dir)                  run.json
//	OpenArrays(dir, split)             *Arrays: completed rows of a run, or of a bare directory made elsewhere
//	OpenEvaluationRows(dir, f, seed)   *Arrays: the rows measured for evaluation
//	OpenArray, ReadFloat32, ReadInt32, ReadJSON                         result files; fault.Missing names the command to run
//	Verify(dir)                        Report: everything that is wrong, for coar inspect
//	EditPath                           the folders of edits
//
// Sizes: nRows (m) rows, nComponents (p), nExamples (n). keep is a byte per component, 1 = kept and 0 = ablated; margins
// are in logits.
package store
