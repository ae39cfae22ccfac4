ringtap_test(filter SOURCES ${CMAKE_SOURCE_DIR}/native/test/filter_test.cc ${CMAKE_SOURCE_DIR}/native/test/placement_test.cc LINK ringtap_filter ${CMAKE_DL_LIBS})
