# Finds a Python that can import torch, for the tests that compare with PyTorch. The system's own
# goes first: distributions package torch for it alone, whatever else stands first on PATH. Where
# the system has no such package, tools/setup.sh made a Python in CALDERA_PREFIX.
#
# Sets PyTorchPython_FOUND and CALDERA_PYTHON, the interpreter.
if(NOT CALDERA_PYTHON)
  find_program(CALDERA_PYTHON_ON_PATH NAMES python3)
  mark_as_advanced(CALDERA_PYTHON_ON_PATH)
  foreach(candidate /usr/bin/python3 ${CALDERA_PREFIX}/python/bin/python3
      ${CALDERA_PYTHON_ON_PATH})
    if(EXISTS ${candidate})
      execute_process(COMMAND ${candidate} -c "import torch"
        RESULT_VARIABLE failure OUTPUT_QUIET ERROR_QUIET)
      if(failure EQUAL 0)
        set(CALDERA_PYTHON ${candidate} CACHE FILEPATH "A Python that can import torch, for tests")
        break()
      endif()
    endif()
  endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(PyTorchPython REQUIRED_VARS CALDERA_PYTHON
  REASON_FAILURE_MESSAGE "the tests that compare with PyTorch are left out")
