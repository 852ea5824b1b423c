# Finds the chart library that tools/setup.sh unpacked in CALDERA_PREFIX, for the pages of
# `--report`. Looked for at every configure, so that setup.sh may also be run later.
#
# Sets ChartJs_FOUND, and CALDERA_CHART_JS and CALDERA_CHART_JS_LICENSE, the files.
find_file(CALDERA_CHART_JS chart.umd.min.js PATHS ${CALDERA_PREFIX}/chart.js
  NO_DEFAULT_PATH NO_CACHE)
find_file(CALDERA_CHART_JS_LICENSE LICENSE.md PATHS ${CALDERA_PREFIX}/chart.js
  NO_DEFAULT_PATH NO_CACHE)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ChartJs
  REQUIRED_VARS CALDERA_CHART_JS CALDERA_CHART_JS_LICENSE
  REASON_FAILURE_MESSAGE "`--report` is left out (tools/setup.sh brings it)")
